/** `bulkhead completion`: what a shell needs to complete the words of this command, made from the words themselves. */
import type { Command } from 'commander';
import { CommandError, EXIT, print } from './exit.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

interface Words {
  readonly name: string;
  readonly about: string;
  readonly options: readonly { readonly flag: string; readonly about: string; readonly takesValue: boolean }[];
}

export function completion(shell: string, program: Command): number {
  const words = program.commands.map(
    (command): Words => ({
      name: command.name(),
      about: command.description(),
      options: [
        ...command.options.map((option) => ({ flag: option.long ?? option.flags, about: option.description, takesValue: option.required })),
        { flag: '--help', about: 'print help', takesValue: false },
      ],
    }),
  );
  switch (shell) {
    case 'bash':
      print(...bash(words));
      return EXIT.yes;
    case 'zsh':
      print(...zsh(words));
      return EXIT.yes;
    case 'fish':
      print(...fish(words));
      return EXIT.yes;
    default:
      throw new CommandError(`${JSON.stringify(shell)} is not one of ${SHELLS.join(', ')}`);
  }
}

function bash(words: readonly Words[]): string[] {
  return [
    '# bash completion for bulkhead; load it with: source <(bulkhead completion bash)',
    '_bulkhead() {',
    `  local word="\${COMP_WORDS[COMP_CWORD]}"`,
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${words.map(({ name }) => name).join(' ')} --help --version" -- "$word"))`,
    '    return',
    '  fi',
    '  local options=""',
    `  case "\${COMP_WORDS[1]}" in`,
    ...words.map(({ name, options }) => `    ${name}) options="${options.map(({ flag }) => flag).join(' ')}" ;;`),
    '  esac',
    '  if [[ "$word" == -* ]]; then',
    '    COMPREPLY=($(compgen -W "$options" -- "$word"))',
    '  else',
    '    COMPREPLY=($(compgen -f -- "$word"))',
    '  fi',
    '}',
    'complete -o filenames -F _bulkhead bulkhead',
  ];
}

function zsh(words: readonly Words[]): string[] {
  const quoted = (text: string) => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');
  return [
    '#compdef bulkhead',
    '# zsh completion for bulkhead; put it into a folder of $fpath as _bulkhead, or: source <(bulkhead completion zsh)',
    '_bulkhead() {',
    '  local -a commands',
    '  commands=(',
    ...words.map(({ name, about }) => `    '${name}:${quoted(about)}'`),
    '  )',
    '  if (( CURRENT == 2 )); then',
    '    _describe command commands',
    '    return',
    '  fi',
    '  case "$words[2]" in',
    ...words.map(({ name, options }) => {
      const list = options.map(({ flag, about, takesValue }) => `'${flag}[${quoted(about)}]${takesValue ? ':value:_files' : ''}'`);
      return `    ${name}) _arguments ${list.join(' ')} '*:file:_files' ;;`;
    }),
    '  esac',
    '}',
    'compdef _bulkhead bulkhead',
  ];
}

function fish(words: readonly Words[]): string[] {
  const quoted = (text: string) => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  return [
    '# fish completion for bulkhead; load it with: bulkhead completion fish | source',
    ...words.map(({ name, about }) => `complete -c bulkhead -n __fish_use_subcommand -a ${name} -d ${quoted(about)}`),
    ...words.flatMap(({ name, options }) =>
      options.map(({ flag, about, takesValue }) => {
        const condition = `'__fish_seen_subcommand_from ${name}'`;
        return `complete -c bulkhead -n ${condition} -l ${flag.replace(/^--/, '')} -d ${quoted(about)}${takesValue ? ' -r' : ''}`;
      }),
    ),
  ];
}
