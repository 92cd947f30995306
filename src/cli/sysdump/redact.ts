/**
 * Takes secrets out of everything that a dump collects. Pure.
 *
 * A value is hidden by the name of its key, by its shape, and, where other programs may add keys of their own, unless its key is known.
 * A value that was hidden in one place is remembered: `scrub`, which comes last, hides it in every other place too.
 *
 * Invariants
 *  RD1 A value under a name of a secret is hidden whole, with everything below it.
 *  RD2 In a network configuration, in CNI_ARGS and in external_ids an unknown name's text is hidden, unless it is an address or a usual path;
 *     so is a number of four digits or more.
 *  RD3 Text that cannot be parsed is never shown where a configuration could be in it.
 *  RD4 Text is kept byte for byte only if the parsed value is all of it: of two members of one name a parser keeps the last alone.
 */
import { keyOfText } from '../../attachment.ts';
import { knownArguments, knownKeys, knownVariables } from './known-names.ts';

const hidden = '[redacted]';

const secretName =
  /token|passw|passphrase|passcode|pass$|pwd|^pw$|otp$|secret|credential|authorization|cookie|session|signature|hmac|cert|bearer|^auth|psk|pem$|key(data|file|s|id|ring)?$/;

/** Whether a name says that its value is a secret. */
const isSecretName = (name: string): boolean => secretName.test(name.toLowerCase().replace(/[^a-z0-9]/g, ''));

type Json = { readonly [key: string]: unknown };

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An attachment's key is not a key to anything: as text (a mark, `list --json`) or as a plan's object. */
const isAttachmentKey = (name: string, value: unknown): boolean =>
  name === 'key' && (typeof value === 'string' ? isKeyText(value) : isObject(value) && 'containerId' in value);

const isKeyText = (text: string): boolean => {
  const key = keyOfText(text);
  return key !== undefined && /^[\w.-]+$/.test(key.network + key.containerId) && /^\S{1,15}$/.test(key.ifName);
};

const isKeyOfOurs = (name: string, value: string): boolean =>
  name === 'key' && (isKeyText(/^[^\s),;]*/.exec(value)?.[0] ?? '') || /^\{\\*"network/.test(value));

// ---- shapes

/** A pattern that matches a secret. Its first group, if it has one, is the text before the secret, which is shown. */
const shapes: readonly RegExp[] = [
  /()-----BEGIN [^\n-]*-----(?:(?!-----END)[\s\S]){0,20000}(?:-----END [^\n-]*-----)?/g,
  /()LS0tLS1CRUdJTi[\w+/=-]*/g,
  /((?<![A-Za-z0-9]))eyJ[\w+/=-]{10,}(?:\.[\w+/=-]*){0,4}/g,
  /(\b(?:bearer|basic)\s+)[\w.~+/=-]{6,}/gi,
  // A password may have any of a URL's other signs in it.
  /((?<![a-z0-9+.-])[a-z][a-z0-9+.-]*:\/\/)[^\s"'<>]{1,2000}(?=@)/gi,
  /()\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-)\w{10,}/g,
  /()\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
  // crypt(5), and a bootstrap token.
  /()\$(?:1|2[abxy]?|5|6|7|y|gy|apr1)\$[./A-Za-z0-9$,=]{8,}/g,
  /()\b[a-z0-9]{6}\.[a-z0-9]{16}\b/g,
  // Our own messages quote the value of a key that is unknown or wrong.
  /(\bwith value )(?!\[redacted)[^\n]+/g,
  /(" is )(?!\[redacted)[^\n]{1,5000}?(?=: expected |, none of )/g,
  // A parser's message quotes what it could not parse.
  /(\b(?:no|not) (?:JSON|YAML): )(?!\[redacted)[^\n]+/g,
  // The rest of a certificate or a key whose first line was cut off.
  /()^(?![0-9a-f]+$)[A-Za-z0-9+/]{40,}={0,2}$/gm,
];

/** Base64 of a random secret has all three kinds of characters; a container's id, a uuid and a word do not. */
const isOpaque = (text: string): boolean =>
  text.split(/[-.]/).some((part) => part.length >= 20 && /[a-z]/.test(part) && /[A-Z]/.test(part) && /\d/.test(part));

/** A word ends before a bracket. */
const isHidden = (text: string): boolean => text === hidden || `${text}]` === hidden;

/** A name and what parts it from its value, with any number of backslashes before the name's closing quote. */
const nameAndSign = /(?<![\w.-])([\w.-]*\w)(?:\\*["'])?\s*([:=])\s*/g;

/** An option of a command line and its value. */
const option = /(?<!\S)(--?([\w.-]*\w)[= ])(?!\[redacted)([^\s"']+)/g;

/** Where the value ends that begins at `at`: at its closing quote, else at the end of its word, of its line or of its YAML block. */
function endOfValue(text: string, at: number, sign: string, lineEnd: number): number {
  const line = text.slice(at, lineEnd);
  const [opening, slashes = '', quote] = /^(\\{0,20})(["'])/.exec(line) ?? [];
  if (opening && quote) {
    const closing = `${slashes}${quote}`;
    for (let end = line.indexOf(closing, opening.length); end >= 0; end = line.indexOf(closing, end + 1)) {
      if (line[end - 1] !== '\\') return at + end + closing.length;
    }
    return lineEnd;
  }
  if (/^[|>][+-]?\s*$/.test(line)) {
    const block = /(?:\n[ \t]+[^\n]*)*/y;
    block.lastIndex = lineEnd;
    return lineEnd + (block.exec(text)?.[0].length ?? 0);
  }
  if (sign === 'header' || /^[{[]/.test(line)) return lineEnd;
  const stop = line.search(sign === ':' ? /["';,&}\]]/ : /[\s"';,&}\]]/);
  return stop < 0 ? lineEnd : at + stop;
}

/** Values of unknown keys that tell no secret. */
const addresses = /^[0-9a-f:.]{2,45}(\/\d{1,3})?$/i;
const usualPath = /^(unix:)?\/(etc|var|run|opt|usr|dev|tmp|sys|proc|mnt|srv|lib)(\/[\w.@:-]{1,64})*\/?$/;

const isPlain = (text: string): boolean =>
  text === '' ||
  /^(true|false)$/.test(text) ||
  (addresses.test(text) && /[.:]/.test(text)) ||
  (usualPath.test(text) && !text.split('/').some(isOpaque));

// ---- the redactor

const leastKnown = 6;

/** A word that could be in any text, and would be hidden in all of it. */
const isCommon = (text: string): boolean =>
  text.length < leastKnown || /^([a-z]{1,11}|[A-Z]{1,11}|\d{1,8})$/.test(text);

export class Redactor {
  /** Values that were hidden. */
  readonly #known = new Set<string>();

  /** Hides a value, and remembers it. */
  hide(value: unknown): string {
    for (const text of textsIn(value)) if (!isCommon(text)) this.#known.add(text);
    return hidden;
  }

  /** Any text: lines of a log, messages. */
  text(text: string): string {
    const shaped = shapes.reduce(
      (rest, shape) =>
        rest.replace(shape, (match: string, before: string) => {
          this.#remember(match.slice(before.length));
          return `${before}${hidden}`;
        }),
      text,
    );
    const withoutOptions = shaped.replace(option, (match, before: string, name: string, value: string) => {
      if (!isSecretName(name)) return match;
      this.#remember(value);
      return `${before}${hidden}`;
    });
    return this.#withoutNamed(withoutOptions).replace(/[A-Za-z0-9+_=~.-]{20,}/g, (run) =>
      isOpaque(run) ? hidden : run,
    );
  }

  /** NAME=VALUE, NAME: VALUE, "NAME": "VALUE". */
  #withoutNamed(text: string): string {
    let shown = '';
    let from = 0;
    let lineEnd = -1;
    for (const found of text.matchAll(nameAndSign)) {
      const [all, name = '', sign = ''] = found;
      const at = found.index + all.length;
      if (found.index < from || !isSecretName(name)) continue;
      if (lineEnd < at) lineEnd = text.indexOf('\n', at);
      if (lineEnd < 0) lineEnd = text.length;
      // A header's value has several words.
      const end = endOfValue(text, at, /authorization$/i.test(name) ? 'header' : sign, lineEnd);
      const value = text.slice(at, end);
      const [, quote = '', bare = ''] = /^(\\*["'])?(.*?)(?:\1)?$/s.exec(value) ?? [];
      if (bare === '' || isHidden(bare) || isKeyOfOurs(name, bare)) continue;
      this.#remember(bare.trim());
      shown += `${text.slice(from, at)}${quote}${hidden}${quote}`;
      from = end;
    }
    return shown + text.slice(from);
  }

  /** Text may be a sentence, so only a value that looks like a secret is hidden elsewhere too. */
  #remember(text: string): void {
    if (text.length >= 8 && /\d/.test(text) && /[a-z]/i.test(text) && !/\s/.test(text)) this.#known.add(text);
  }

  /** Any data: by names and shapes. The parts of a journal that hold a call are read as such. */
  value(value: unknown): unknown {
    if (typeof value === 'string') return this.#perhapsJson(value);
    if (Array.isArray(value)) return value.map((one) => this.value(one));
    if (!isObject(value)) return value;
    return this.#members(value, (name, one) => {
      if (isAttachmentKey(name, one)) return one;
      if (name === 'stdin' && typeof one === 'string') return this.networkText(one);
      if (name === 'env' && isObject(one)) return this.#environment(one);
      // The published half of a configuration may hold keys of other programs.
      return name === 'memif' ? this.network(one) : this.value(one);
    });
  }

  /** A network configuration. @param isKnown whether its keys may be known; below an unknown key none is */
  network(value: unknown, isKnown = true): unknown {
    // A PIN has four digits.
    if (typeof value === 'number') return isKnown || Math.abs(value) < 1000 ? value : this.hide(value);
    // No known key has a document or several lines for its value.
    if (typeof value === 'string')
      return (isKnown && !/[\n{}]/.test(value)) || isPlain(value) ? this.text(value) : this.hide(value);
    if (Array.isArray(value)) return value.map((one) => this.network(one, isKnown));
    if (!isObject(value)) return value;
    return this.#members(value, (name, one) => this.network(one, isKnown && knownKeys.has(name.toLowerCase())));
  }

  networkText(text: string): string {
    try {
      const parsed: unknown = JSON.parse(text);
      return asWritten(text, parsed, this.network(parsed));
    } catch {
      return `${hidden}: ${text.length} characters that are not JSON`;
    }
  }

  /** A map to which other programs may add keys. */
  map(entries: Json, known: ReadonlySet<string>): Json {
    return Object.fromEntries(
      Object.entries(entries).map(([name, one]) => {
        const text = String(one);
        const isShown = known.has(name.toLowerCase()) || (!isSecretName(name) && isPlain(text));
        return [this.text(name), isShown ? this.text(text) : this.hide(text)];
      }),
    );
  }

  /** CNI_ARGS. */
  arguments(text: string): string {
    return text
      .split(';')
      .map((pair) => {
        const [name = '', ...value] = pair.split('=');
        if (value.length === 0) return this.text(name);
        return `${name}=${knownArguments.has(name.toLowerCase()) ? this.text(value.join('=')) : this.hide(value.join('='))}`;
      })
      .join(';');
  }

  /** One line of a journal. Of one that is no JSON, as a torn or a damaged one is, only the beginning is shown. */
  line(line: string): string {
    try {
      const parsed: unknown = JSON.parse(line);
      return asWritten(line, parsed, this.value(parsed));
    } catch {
      if (line.trim() === '') return line;
      if (!line.startsWith('{"seq":')) return `${hidden}: ${line.length} characters that are no record`;
      const head = line.slice(0, headMax).replace(/,"(plan|request|outcome)".*$/s, `,"$1"`);
      return `${this.text(head)} ${hidden}: ${line.length - head.length} more characters of a record that is not whole`;
    }
  }

  /** Hides everything that was hidden anywhere, as it is, in base64 and as JSON writes it. For the finished files. */
  scrubber(): (text: string) => string {
    const forms = [...this.#known].flatMap((one) => [
      ...[one, escaped(one), escaped(escaped(one)), encodeURIComponent(one)],
      ...base64Of(one),
    ]);
    const byHead = new Map<string, string[]>();
    for (const one of [...new Set(forms)].sort((a, b) => b.length - a.length)) {
      const head = one.slice(0, leastKnown);
      byHead.set(head, [...(byHead.get(head) ?? []), one]);
    }
    return byHead.size === 0 ? (text) => text : (text) => scrubbed(text, byHead);
  }

  #members(value: Json, shown: (name: string, one: unknown) => unknown): Json {
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => {
        const isSecret = isSecretName(name) && !isAttachmentKey(name, one) && one !== null && typeof one !== 'boolean';
        return [this.text(name), isSecret ? this.hide(one) : shown(name, one)];
      }),
    );
  }

  #environment(env: Json): Json {
    return Object.fromEntries(
      Object.entries(env).map(([name, one]) => {
        if (name === 'CNI_ARGS' && typeof one === 'string') return [name, this.arguments(one)];
        return [name, knownVariables.has(name.toLowerCase()) ? this.value(one) : this.hide(one)];
      }),
    );
  }

  #perhapsJson(text: string): string {
    if (!/^\s*[{[]/.test(text)) return this.text(text);
    try {
      const parsed: unknown = JSON.parse(text);
      return asWritten(text, parsed, this.value(parsed));
    } catch {
      return this.text(text);
    }
  }
}

/** The beginning of a record: its number, time and kind. */
const headMax = 120;

/** The text itself, if nothing in it was hidden and nothing in it was lost by parsing. */
function asWritten(text: string, parsed: unknown, shown: unknown): string {
  const [before, after] = [JSON.stringify(parsed), JSON.stringify(shown)];
  const isWhole = text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1') === before;
  return before === after && isWhole ? text : after;
}

/** A text as JSON writes it, without its quotes. */
const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);

/** @param byHead the texts to hide by their first `leastKnown` characters, the longest first: there may be thousands */
function scrubbed(text: string, byHead: ReadonlyMap<string, readonly string[]>): string {
  let shown = '';
  let from = 0;
  for (let at = 0; at + leastKnown <= text.length; ) {
    const found = byHead.get(text.slice(at, at + leastKnown))?.find((one) => text.startsWith(one, at));
    if (!found) {
      at++;
      continue;
    }
    shown += `${text.slice(from, at)}${hidden}`;
    at += found.length;
    from = at;
  }
  return shown + text.slice(from);
}

/** Every text and number in a value that is hidden whole. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value).trim()];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** With and without padding, in both alphabets; and the text itself, if it is base64 of another one. */
function base64Of(text: string): string[] {
  const bytes = Buffer.from(text);
  const decoded = /^[A-Za-z0-9+/]{8,}={0,2}$/.test(text) ? Buffer.from(text, 'base64').toString() : '';
  const isText = decoded.length >= leastKnown && /^[\x20-\x7e\s]+$/.test(decoded);
  const forms = [bytes.toString('base64'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')];
  return isText && !isCommon(decoded.trim()) ? [...forms, decoded.trim()] : forms;
}
