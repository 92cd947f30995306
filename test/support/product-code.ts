/** The product's source as a syntax tree, for tests of the code itself. */
import { readdirSync } from 'node:fs';
import ts from 'typescript';

export const productFiles = (): string[] =>
  readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `src/${name}`)
    .sort();

const parsed = (file: string, text: string): ts.SourceFile =>
  ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);

/** The names that a file declares and exports; a re-exported name belongs to its origin. */
export function exportsOf(file: string, text: string): string[] {
  return parsed(file, text).statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      const { exportClause, moduleSpecifier } = statement;
      if (moduleSpecifier || !exportClause || !ts.isNamedExports(exportClause)) return [];
      return exportClause.elements.map(({ name }) => name.text);
    }
    const isExported =
      ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    if (!isExported) return [];
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map(({ name }) => name.getText());
    }
    const { name } = statement as ts.DeclarationStatement;
    return name ? [name.getText()] : [];
  });
}

export interface Signature {
  readonly file: string;
  readonly name: string;
  readonly parameters: number;
}

/** Every function, method, constructor and function type of a file. */
export function signaturesOf(file: string, text: string): Signature[] {
  const source = parsed(file, text);
  const found: Signature[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) {
      const parameters = node.parameters.filter(({ name }) => name.getText() !== 'this').length;
      found.push({ file, name: nameOf(node), parameters });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** A function's own name, or the name of its holder: a variable, a member, a class. */
function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name) return node.name.getText();
  const { parent } = node;
  return 'name' in parent && parent.name ? (parent.name as ts.Node).getText() : '';
}
