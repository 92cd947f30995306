/** Files that the build embeds as they are (`with { type: 'text' }`). */
declare module '*.service' {
  const text: string;
  export default text;
}
