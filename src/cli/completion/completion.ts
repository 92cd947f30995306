/** `userspace completion SHELL`: the script that a shell reads. */
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';

/** For each shell: its script, and the place, from the root, where the shell finds it by itself. Debian's fish does not look in /usr/local. */
export const completions: { readonly [shell: string]: { readonly script: () => string; readonly place: string } } = {
  bash: { script: bashCompletion, place: 'usr/local/share/bash-completion/completions/userspace' },
  zsh: { script: zshCompletion, place: 'usr/local/share/zsh/site-functions/_userspace' },
  fish: { script: fishCompletion, place: 'etc/fish/completions/userspace.fish' },
};
