import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { formatTime, heading, paragraph } from '../layout.ts';
import type { Yargs } from '../options.ts';
import { printResult } from '../output.ts';

export function whoamiCommand(yargs: Yargs): void {
  yargs.command(
    'whoami',
    'Show whose key you use, its role and its expiry',
    (yargs) => yargs,
    async (argv) => {
      const me = dataOrThrow(await apiClient(argv.url).GET('/v1/me'));
      const expiresAt = (me.key ?? me.token)?.expiresAt ?? null;
      printResult(argv, me, () =>
        [
          heading(me.analyst.name),
          paragraph(`id: ${me.analyst.id}`),
          paragraph(`role: ${me.roles.join(', ')}`),
          paragraph(me.key ? `key: ${me.key.hint}…` : `token of ${me.token?.issuer}`),
          paragraph(`expires: ${expiresAt === null ? 'never' : formatTime(expiresAt)}`),
        ].join('\n'),
      );
    },
  );
}
