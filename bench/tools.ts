/** The Debian packages that a run needs: installed when that is possible, and named when it isn't. */
import { existsSync } from 'node:fs';
import { runToEnd } from './launch.ts';

interface Tool {
  readonly program: string;
  readonly packages: readonly string[];
  readonly present: () => boolean;
}

const TOOLS: readonly Tool[] = [
  { program: 'haproxy', packages: ['haproxy'], present: () => onPath('haproxy') },
  {
    program: 'nginx',
    packages: ['nginx-light', 'libnginx-mod-stream'],
    present: () => onPath('nginx') && existsSync('/usr/lib/nginx/modules/ngx_stream_module.so'),
  },
  { program: 'wrk', packages: ['wrk'], present: () => onPath('wrk') },
  { program: 'h2load', packages: ['nghttp2-client'], present: () => onPath('h2load') },
  { program: 'taskset', packages: ['util-linux'], present: () => onPath('taskset') },
];
const INSTALL_TIMEOUT_MS = 180_000;

/** Installs what is missing of `programs` when we are root and have apt-get. Answers a line for each that is still missing. */
export async function provideTools(programs: readonly string[], progress: (text: string) => void): Promise<string[]> {
  const wanted = TOOLS.filter((tool) => programs.includes(tool.program));
  const packages = wanted.filter((tool) => !tool.present()).flatMap((tool) => tool.packages);
  if (packages.length === 0) return [];
  const problems: string[] = [];
  if (process.getuid?.() === 0 && onPath('apt-get')) {
    progress(`installing ${packages.join(' ')} from Debian`);
    const install = `export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; apt-get -qq install -y --no-install-recommends ${packages.join(' ')}`;
    try {
      await runToEnd('all', 'sh', ['-c', install], INSTALL_TIMEOUT_MS);
    } catch (error) {
      problems.push(`apt-get failed: ${error instanceof Error ? error.message : error}`);
    }
  }
  const missing = wanted.filter((tool) => !tool.present());
  return missing.length === 0
    ? []
    : [
        ...problems,
        ...missing.map((tool) => `${tool.program} is missing: install it (Debian: apt-get install ${tool.packages.join(' ')})`),
      ];
}

function onPath(program: string): boolean {
  return (
    (process.env.PATH ?? '').split(':').some((folder) => folder !== '' && existsSync(`${folder}/${program}`)) ||
    existsSync(`/usr/sbin/${program}`)
  );
}
