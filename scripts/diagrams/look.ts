/** The look that all pictures share. */

/** Graphviz measures letters by these names, and knows no lists of fonts. */
export const fonts = 'fontname="Helvetica"';
export const monospace = 'Courier';

/** Names the fonts of the same measures that a reader's machine may have instead. */
export const withFamilies = (svg: string): string =>
  svg
    .replaceAll('font-family="Helvetica,sans-Serif"', 'font-family="Helvetica,Arial,sans-serif"')
    .replaceAll('font-family="Courier,monospace"', 'font-family="Courier,Courier New,monospace"');

export const boxes = 'shape=box style="rounded,filled" fillcolor="#eef3f8"';

/** The colour of lines that say nothing by their colour. */
export const plain = '#44546a';
