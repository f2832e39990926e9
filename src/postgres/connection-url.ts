import type pg from 'pg';

const NOT_ENCODED =
  "can't be read: write the characters #, /, ?, @, : and % of its user and password as %23, %2F, %3F, %40, %3A and %25";

const SSL_MODES = [
  'disable',
  'allow',
  'prefer',
  'require',
  'verify-ca',
  'verify-full',
  'no-verify',
];

// Parameters of libpq that decide to whom or how it connects, and that the driver would ignore.
const UNSUPPORTED = [
  'hostaddr',
  'passfile',
  'require_auth',
  'requirepeer',
  'service',
  'servicefile',
  'ssl_max_protocol_version',
  'ssl_min_protocol_version',
  'sslcrl',
  'sslcrldir',
  'sslpassword',
];

// The service sets these itself.
const SET_BY_SERVICE = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
];

/** What is wrong with the URL of a database, worded to follow the name of its setting; null if nothing is. */
export function urlFault(url: string): string | null {
  const { base, parameters } = split(url);
  const [, authority = '', path = ''] = /^[^:]+:\/\/([^/]*)(.*)$/s.exec(base) ?? [];
  const hosts = [authority.split('@').at(-1), parameters.get('host'), parameters.get('port')];
  if (hosts.some((host) => host?.includes(','))) {
    return "names several hosts, which the service can't try in turn: name one that leads to the primary, such as HAProxy or the endpoint of your provider";
  }
  const isCut = base.includes('#') || (!authority.includes('@') && path.includes('@'));
  if (isCut || !canBeRead(base)) return NOT_ENCODED;
  return parameterFault(parameters);
}

function parameterFault(parameters: URLSearchParams): string | null {
  const mode = parameters.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) {
    return `has the sslmode ${mode}: use one of ${SSL_MODES.join(', ')}`;
  }
  const attributes = parameters.get('target_session_attrs') ?? 'any';
  if (!['any', 'read-write', 'primary'].includes(attributes)) {
    return `asks for target_session_attrs=${attributes}: the service needs the primary, so remove the parameter`;
  }
  const unsupported = UNSUPPORTED.filter((name) => parameters.has(name));
  if (unsupported.length === 0) return null;
  return `has ${unsupported.join(', ')}, which the service does not support: remove it`;
}

/**
 * The URL of a database as `pg` is to read it. TLS is on for every `sslmode` but `disable`, and the server's certificate is
 * verified for all but `no-verify`. That is stricter than libpq, where only `verify-ca` and `verify-full` verify it.
 * `verify-ca` does not compare the host's name if `sslrootcert` is given.
 */
export function driverConfig(
  url: string,
): Pick<pg.ClientConfig, 'connectionString' | 'enableChannelBinding'> {
  const { base, parameters } = split(url);
  const wantsBinding = parameters.get('channel_binding') === 'require';
  for (const name of [...SET_BY_SERVICE, 'channel_binding']) parameters.delete(name);
  if (parameters.get('sslrootcert') === 'system') parameters.delete('sslrootcert');
  const mode = parameters.get('sslmode');
  if (isSocket(base, parameters)) {
    for (const name of ['sslmode', 'sslrootcert', 'sslcert', 'sslkey']) parameters.delete(name);
  } else if (mode === 'verify-ca' && parameters.has('sslrootcert')) {
    parameters.set('uselibpqcompat', 'true');
  } else if (mode !== null && !['disable', 'no-verify'].includes(mode)) {
    parameters.set('sslmode', 'verify-full');
  }
  const query = parameters.toString();
  return {
    connectionString: query === '' ? base : `${base}?${query}`,
    ...(wantsBinding && { enableChannelBinding: true }),
  };
}

/** What to change in the URL, if a connection failed over TLS; null if it failed for another reason. */
export function tlsRemedy(error: unknown): string | null {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'use the host name of the certificate, or sslmode=verify-ca with sslrootcert=FILE, which does not compare names';
  }
  if (/^(SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|CERT_)/.test(code)) {
    return "add sslrootcert=FILE with your provider's CA certificate, or sslmode=no-verify to accept any certificate";
  }
  if (message === 'The server does not support SSL connections') {
    return 'set sslmode=disable if the network is trusted, or turn TLS on in PostgreSQL';
  }
  if (code === '28000' && message.includes('no encryption')) return 'add sslmode=verify-full';
  return null;
}

function split(url: string): { base: string; parameters: URLSearchParams } {
  const [base = '', ...query] = url.split('?');
  return { base, parameters: new URLSearchParams(query.join('?')) };
}

function isSocket(base: string, parameters: URLSearchParams): boolean {
  return parameters.get('host')?.startsWith('/') ?? /^[^:]+:\/\/([^/@]*@)?%2f/i.test(base);
}

/** Whether `pg` can read the part of a URL before its parameters. It takes an empty host. */
function canBeRead(base: string): boolean {
  const encoded = / |%[^a-f0-9]|%[a-f0-9][^a-f0-9]/i.test(base)
    ? encodeURI(base).replace(/%25(\d\d)/g, '%$1')
    : base;
  const full = URL.canParse(encoded) ? encoded : encoded.replace('@/', '@host/');
  try {
    const { username, password, hostname, pathname } = new URL(full);
    decodeURIComponent(username + password + hostname + pathname);
    return true;
  } catch {
    return false;
  }
}
