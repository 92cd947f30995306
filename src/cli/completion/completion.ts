/** `userspace completion SHELL`: the script that a shell reads. */
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';

/** For each shell: its script, and the place below a `share` directory where the shell finds it by itself. */
export const completions: { readonly [shell: string]: { readonly script: () => string; readonly place: string } } = {
  bash: { script: bashCompletion, place: 'bash-completion/completions/userspace' },
  zsh: { script: zshCompletion, place: 'zsh/site-functions/_userspace' },
  fish: { script: fishCompletion, place: 'fish/vendor_completions.d/userspace.fish' },
};
