/** The completion for bash. It needs no library: `source <(userspace completion bash)` works in a bare shell (bash(1), COMP_WORDS). */
import { type CompletedCommand, completedCommands, type Offer, valued } from './model.ts';

/** The words that fill COMPREPLY. */
function replyOf(offer: Offer): string {
  if (offer === undefined) return ':';
  if (typeof offer === 'object') return `_userspace_reply -W '${offer.words.join(' ')}'`;
  return {
    file: '_userspace_reply -f',
    directory: '_userspace_reply -d',
    id: '_userspace_ids',
    interface: '_userspace_interfaces',
  }[offer];
}

const optionCases = ({ name, options }: CompletedCommand): string[] =>
  options.flatMap(({ spellings, argument, offer }) =>
    argument === undefined ? [] : [`    ${spellings.map((one) => `${name}:${one}`).join('|')}) ${replyOf(offer)} ;;`],
  );

const flagsCase = ({ name, options }: CompletedCommand): string =>
  `    ${name}) _userspace_reply -W '${options.flatMap(({ spellings }) => spellings).join(' ')}' ;;`;

const placeCases = ({ name, places }: CompletedCommand): string[] =>
  places.map(({ offer, isRepeatable }, index) => `    ${name}:${isRepeatable ? '*' : index}) ${replyOf(offer)} ;;`);

export function bashCompletion(): string {
  const commands = completedCommands();
  const names = [...commands.map(({ name }) => name), '--help', '--version'];
  return `# Completion of userspace for bash, made by "userspace completion bash".

_userspace_reply() {
  [[ $1 == -W ]] || compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$@" -- "$cur")
}

# Names that others chose are data: compgen -W would expand them, and so would the line that is typed.
_userspace_offer() {
  [[ $1 == "$cur"* ]] && COMPREPLY+=("$(printf %q "$1")")
}

# The keys of the attachments: network:container:interface.
_userspace_keys() {
  mapfile -t keys < <("$program" list -o name --no-live "\${directory[@]}" 2>/dev/null)
}

_userspace_ids() {
  local keys=() key id
  _userspace_keys
  for key in "\${keys[@]}"; do
    id=\${key#*:}
    _userspace_offer "\${id%:*}"
  done
}

_userspace_interfaces() {
  local keys=() key
  _userspace_keys
  for key in "\${keys[@]}"; do
    [[ $key == *:"\${words[1]}"*:* ]] && _userspace_offer "\${key##*:}"
  done
}

_userspace() {
  local program=\${1/#\\~\\//$HOME/} cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local words=() directory=() word i
  COMPREPLY=()
  # In COMP_WORDS the "=" of --option=value is a word of its own.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
    ${valued().join('|')})
      [[ \${COMP_WORDS[i + 1]} == = ]] && ((i++))
      ((i++))
      # xargs takes the quotes away, and runs nothing of what is typed.
      word=$([[ $word == --data-dir ]] && xargs printf %s <<<"\${COMP_WORDS[i]}" 2>/dev/null)
      [[ -n $word ]] && directory=(--data-dir "\${word/#\\~\\//$HOME/}")
      ;;
    -*) ;;
    *) words+=("$word") ;;
    esac
  done
  local command=\${words[0]-}
  if [[ $prev == -* ]]; then
    case $command:$prev in
${commands.flatMap(optionCases).join('\n')}
    *) prev= ;;
    esac
    [[ $prev == -* ]] && return
  fi
  if [[ -z $command ]]; then
    _userspace_reply -W '${names.join(' ')}'
  elif [[ $cur == -* ]]; then
    case $command in
${commands
  .filter(({ options }) => options.length > 0)
  .map(flagsCase)
  .join('\n')}
    esac
  else
    case $command:$((\${#words[@]} - 1)) in
${commands.flatMap(placeCases).join('\n')}
    esac
  fi
}

complete -F _userspace userspace
`;
}
