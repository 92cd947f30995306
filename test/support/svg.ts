/** The elements of an XML text, in order. @throws Error if it is not well-formed, as far as pictures of ours can fail to be */
export function elementsOf(text: string): string[] {
  const open: string[] = [];
  const found: string[] = [];
  const body = text.replace(/^<\?xml version="1.0" encoding="UTF-8"\?>\n/, '');
  // No control characters, and no halves of letters (XML 1.0, 2.2 Characters).
  const strange = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.exec(body);
  if (strange) throw new Error(`a character at ${strange.index} is none of XML`);
  let rest = body;
  while (rest !== '') {
    const [piece = '', closing, name, attributes, empty] =
      /^<(\/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<&]*(?:&(?:amp|lt|gt|quot);[^"<&]*)*")*)(\/?)>/.exec(rest) ?? [];
    const [words = ''] = /^(?:[^<&]|&(?:amp|lt|gt|quot);)+/.exec(rest) ?? [];
    if (piece === '' && words === '') throw new Error(`not well-formed: ${rest.slice(0, 80)}`);
    if (words !== '' && words.trim() !== '' && open.length === 0) throw new Error(`text outside: ${words}`);
    if (closing === '/' && (open.pop() !== name || attributes || empty)) throw new Error(`closes another: ${piece}`);
    if (name !== undefined && closing === '') {
      found.push(name);
      if (empty === '') open.push(name);
    }
    rest = rest.slice((piece || words).length);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(', ')}`);
  return found;
}
