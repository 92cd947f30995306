/** The completion for fish (complete(1) of fish). */
import { type CompletedCommand, completedCommands, type Offer, valued } from './model.ts';

const quoted = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`;

/** The words of `complete` that say what may follow. */
function offered(offer: Offer): string {
  if (offer === undefined) return '-x';
  if (typeof offer === 'object') return `-x -a ${quoted(offer.words.join(' '))}`;
  return {
    file: '-r -F',
    directory: "-x -a '(__fish_complete_directories)'",
    id: "-x -a '(__userspace_keys | string split -f 2 :)'",
    interface: "-x -a '(__userspace_interfaces)'",
  }[offer];
}

function linesOf({ name, meaning, options, places }: CompletedCommand): string[] {
  return [
    `complete -c userspace -n '__userspace_at' -a ${name} -d ${quoted(meaning)}`,
    ...options.map(({ name: option, spellings, meaning: said, argument, offer }) => {
      const short = spellings.flatMap((one) => (one.startsWith('--') ? [] : [` -s ${one.slice(1)}`])).join('');
      const value = argument === undefined ? '' : ` ${offered(offer)}`;
      return `complete -c userspace -n '__userspace_in ${name}' -l ${option}${short}${value} -d ${quoted(said)}`;
    }),
    ...places.map(({ offer, isRepeatable }, index) => {
      const where = isRepeatable ? `__userspace_in ${name}` : `__userspace_at ${name} ${index}`;
      return `complete -c userspace -n '${where}' ${offered(offer).replace('-r -F', '-F')}`;
    }),
  ];
}

export function fishCompletion(): string {
  return `# Completion of userspace for fish, made by "userspace completion fish".

# The words so far that are neither options nor their values.
function __userspace_words
    set -l tokens (commandline -opc)
    set -l is_value 0
    for token in $tokens[2..-1]
        if test $is_value = 1
            set is_value 0
            continue
        end
        switch $token
            case ${valued().join(' ')}
                set is_value 1
            case '-*'
            case '*'
                echo $token
        end
    end
end

# Whether the command is the first argument.
function __userspace_in
    set -l words (__userspace_words)
    test "$words[1]" = "$argv[1]"
end

# Whether the place is at hand: the number of words after the command; without arguments, the command itself.
function __userspace_at
    set -l words (__userspace_words)
    if test (count $argv) = 0
        test (count $words) = 0
    else
        test "$words[1]" = $argv[1]; and test (count $words) = (math $argv[2] + 1)
    end
end

# The keys of the attachments: network:container:interface.
function __userspace_keys
    set -l tokens (commandline -opc)
    set -l directory (string match -r -- '^--data-dir=.*' $tokens)
    if set -l at (contains -i -- --data-dir $tokens)
        set directory --data-dir=$tokens[(math $at + 1)]
    end
    # What is typed is not expanded, but for the home directory.
    set directory (string replace -r -- '=~/' "=$HOME/" $directory)
    set -l program (string replace -r -- '^~/' "$HOME/" $tokens[1])
    $program list -o name --no-live $directory 2>/dev/null
end

function __userspace_interfaces
    set -l words (__userspace_words)
    __userspace_keys | string match -- "*:$words[2]*" | string split -f 3 :
end

complete -c userspace -f
complete -c userspace -n '__userspace_at' -l help -s h
complete -c userspace -n '__userspace_at' -l version
${completedCommands().flatMap(linesOf).join('\n')}
`;
}
