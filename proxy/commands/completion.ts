/** `bulkhead completion`: what a shell needs to complete the words of this command, made from the words themselves. */
import type { Command } from 'commander';
import { ADMIN_ROLES } from '../../config/document.ts';
import { PROTOCOLS } from '../../config/protocols.ts';
import { VERDICTS } from '../observe/view.ts';
import { SERVER_STATES } from '../versions/record.ts';
import { CommandError, EXIT, print } from './exit.ts';
import { SORTS } from './top-screen.ts';
import { EXPORT_TARGETS, IN_FORCE } from './values.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What may stand behind an option, or as the first argument of a command; files may everywhere else. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  'top --sort': SORTS,
  'flows --verdict': VERDICTS,
  'token --role': ADMIN_ROLES,
  'explain --protocol': PROTOCOLS,
  'export --to': EXPORT_TARGETS,
  completion: SHELLS,
  server: SERVER_STATES,
};
/** Words that may stand where a file may. */
const BESIDE_FILES: Readonly<Record<string, readonly string[]>> = { explain: [IN_FORCE, 'version:'], diff: [IN_FORCE, 'version:'] };

interface Words {
  readonly name: string;
  readonly about: string;
  /** First arguments, where they are not files alone. */
  readonly first: readonly string[];
  readonly takesFiles: boolean;
  readonly options: readonly {
    readonly flag: string;
    readonly about: string;
    readonly takesValue: boolean;
    readonly values: readonly string[];
  }[];
}

export function completion(shell: string, program: Command): number {
  const words = [...program.commands.map(wordsOf), helpWords(program)];
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

function wordsOf(command: Command): Words {
  const name = command.name();
  const values = VALUES[name];
  return {
    name,
    about: command.description(),
    first: values ?? BESIDE_FILES[name] ?? [],
    takesFiles: values === undefined,
    options: [
      ...command.options.map((option) => {
        const flag = option.long ?? option.flags;
        return { flag, about: option.description, takesValue: option.required, values: VALUES[`${name} ${flag}`] ?? [] };
      }),
      { flag: '--help', about: 'print help', takesValue: false, values: [] },
    ],
  };
}

function helpWords(program: Command): Words {
  return {
    name: 'help',
    about: 'print the help of a command',
    first: program.commands.map((command) => command.name()),
    takesFiles: false,
    options: [],
  };
}

function bash(words: readonly Words[]): string[] {
  const values = words.flatMap(({ name, options }) =>
    options
      .filter((option) => option.values.length > 0)
      .map((option) => `    ${name}:${option.flag}) values="${option.values.join(' ')}" ;;`),
  );
  return [
    '# bash completion for bulkhead; load it with: source <(bulkhead completion bash)',
    '_bulkhead() {',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that fills it in.
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}"',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${words.map(({ name }) => name).join(' ')} --help --version" -- "$word"))`,
    '    return',
    '  fi',
    '  local options="" first="" files=yes values=""',
    '  case "$command" in',
    ...words.map(({ name, options, first, takesFiles }) => {
      const more = `${first.length > 0 ? ` first="${first.join(' ')}"` : ''}${takesFiles ? '' : ' files=""'}`;
      return `    ${name}) options="${options.map(({ flag }) => flag).join(' ')}"${more} ;;`;
    }),
    '  esac',
    '  case "$command:$before" in',
    ...values,
    '  esac',
    '  if [ -n "$values" ]; then',
    '    COMPREPLY=($(compgen -W "$values" -- "$word"))',
    '  elif [[ "$word" == -* ]]; then',
    '    COMPREPLY=($(compgen -W "$options" -- "$word"))',
    '  else',
    '    COMPREPLY=()',
    '    if [ "$COMP_CWORD" -eq 2 ] && [ -n "$first" ]; then COMPREPLY=($(compgen -W "$first" -- "$word")); fi',
    '    if [ -n "$files" ] || [[ "$before" == --* ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi',
    '  fi',
    '}',
    'complete -o filenames -F _bulkhead bulkhead',
  ];
}

function zsh(words: readonly Words[]): string[] {
  const quoted = (text: string) => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, '\\$&');
  const value = (values: readonly string[]) => (values.length > 0 ? `:value:(${values.map(quoted).join(' ')})` : ':value:_files');
  return [
    '#compdef bulkhead',
    '# zsh completion for bulkhead; put it into a folder of $fpath as _bulkhead, or, after compinit: source <(bulkhead completion zsh)',
    '_bulkhead() {',
    '  local -a commands',
    '  commands=(',
    ...words.map(({ name, about }) => `    '${name}:${quoted(about)}'`),
    '  )',
    '  if (( CURRENT == 2 )); then',
    '    _describe command commands',
    '    return',
    '  fi',
    '  local command="$words[2]"',
    '  shift words',
    '  (( CURRENT-- ))',
    '  case "$command" in',
    ...words.map(({ name, options, first, takesFiles }) => {
      const list = options.map(({ flag, about, takesValue, values }) => `'${flag}[${quoted(about)}]${takesValue ? value(values) : ''}'`);
      const offered = first.map(quoted).join(' ');
      const argument =
        first.length === 0 ? [] : [takesFiles ? `'1:policy:{compadd -S "" -- ${offered}; _files}'` : `'1:argument:(${offered})'`];
      return `    ${name}) _arguments ${[...list, ...argument, ...(takesFiles ? ["'*:file:_files'"] : [])].join(' ')} ;;`;
    }),
    '  esac',
    '}',
    // From $fpath it is called by its name at once; sourced, it has to make itself known.
    'if [[ "$funcstack[1]" = "_bulkhead" ]]; then _bulkhead "$@"; else compdef _bulkhead bulkhead; fi',
  ];
}

function fish(words: readonly Words[]): string[] {
  const quoted = (text: string) => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  return [
    '# fish completion for bulkhead; load it with: bulkhead completion fish | source',
    'complete -c bulkhead -n __fish_use_subcommand -f',
    ...words.map(({ name, about }) => `complete -c bulkhead -n __fish_use_subcommand -f -a ${name} -d ${quoted(about)}`),
    ...words.flatMap(({ name, options, first, takesFiles }) => {
      const condition = `'__fish_seen_subcommand_from ${name}'`;
      const offered =
        first.length === 0 ? [] : [`complete -c bulkhead -n ${condition}${takesFiles ? '' : ' -f'} -a ${quoted(first.join(' '))}`];
      const flags = options.map(({ flag, about, takesValue, values }) => {
        const taken = values.length > 0 ? ` -x -a ${quoted(values.join(' '))}` : takesValue ? ' -r' : '';
        return `complete -c bulkhead -n ${condition} -l ${flag.replace(/^--/, '')} -d ${quoted(about)}${taken}`;
      });
      return [...offered, ...flags];
    }),
  ];
}
