/** The completion for zsh: a file _userspace in a directory of fpath, or sourced (zshcompsys(1), _arguments). */
import { type CompletedCommand, completedCommands, type Offer } from './model.ts';

/** The part of a specification that says what may follow. */
function actionOf(offer: Offer): string {
  if (offer === undefined) return ' ';
  if (typeof offer === 'object') return `(${offer.words.join(' ')})`;
  return { file: '_files', directory: '_directories', id: '_userspace_ids', interface: '_userspace_interfaces' }[offer];
}

/** A text in single quotes, with the characters that a specification would take for its own. */
const quoted = (text: string): string => text.replaceAll("'", "'\\''");
const plainText = (text: string): string => quoted(text.replace(/[[\]:\\]/g, '\\$&'));

function optionSpecifications({ options }: CompletedCommand): string[] {
  return options.flatMap(({ spellings, meaning, argument, offer, isRepeatable }) =>
    spellings.map((spelling) => {
      const others = spellings.filter((one) => one !== spelling);
      const exclusion = isRepeatable ? '*' : others.length > 0 ? `(${others.join(' ')})` : '';
      const value = argument === undefined ? '' : `:${argument}:${actionOf(offer)}`;
      const joint = argument === undefined ? '' : spelling.startsWith('--') ? '=' : '+';
      return `'${exclusion}${spelling}${joint}[${plainText(meaning)}]${value}'`;
    }),
  );
}

function commandCase(command: CompletedCommand): string {
  const places = command.places.map(
    ({ name, offer, isRepeatable }, index) => `'${isRepeatable ? '*' : index + 1}:${name}:${actionOf(offer)}'`,
  );
  const specifications = [...optionSpecifications(command), ...places];
  return `    ${command.name})\n      _arguments -s \\\n${specifications.map((one) => `        ${one}`).join(' \\\n')}\n      ;;`;
}

export function zshCompletion(): string {
  const commands = completedCommands();
  return `#compdef userspace
# Completion of userspace for zsh, made by "userspace completion zsh".

# The keys of the attachments: network:container:interface.
_userspace_keys() {
  # What was typed loses its quotes here, and is expanded nowhere.
  local -a directory=()
  local typed=\${(Q)\${(Q)opt_args[--data-dir]}}
  [[ -n $typed ]] && directory=(--data-dir "\${typed/#\\~\\//$HOME/}")
  keys=("\${(@f)$("$program" list -o name --no-live "\${directory[@]}" 2>/dev/null)}")
}

_userspace_ids() {
  local -a keys
  _userspace_keys
  local -aU ids=(\${\${keys#*:}%:*})
  compadd -a ids
}

_userspace_interfaces() {
  local -a keys
  _userspace_keys
  local -a interfaces=(\${\${(M)keys:#*:\${line[1]}*:*}##*:})
  compadd -a interfaces
}

_userspace() {
  local program=\${words[1]/#\\~\\//$HOME/}
  local -a commands=(
${commands.map(({ name, meaning }) => `    '${quoted(name)}:${quoted(meaning)}'`).join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe -t commands command commands
    compadd -- --help --version
    return
  fi
  shift words
  ((CURRENT--))
  local curcontext=$curcontext context state
  local -a line
  local -A opt_args
  case $words[1] in
${commands.map(commandCase).join('\n')}
  esac
}

# As a file of fpath this is the function's body when it is first called.
if [[ $funcstack[1] == _userspace ]]; then
  _userspace "$@"
else
  compdef _userspace userspace
fi
`;
}
