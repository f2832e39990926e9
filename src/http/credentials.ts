/** What an Authorization header sends to this service: a key (`olk_…`) or a token, as far as it has their form. */
export type Credentials = { key?: string | undefined; token?: string | undefined };

// A key, or a token: three parts of base64url (RFC 7515, 7.1).
const BEARER =
  /^Bearer +(?:(olk_[A-Za-z0-9_-]{1,200})|([A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{1,8000}\.[A-Za-z0-9_-]{1,2000})) *$/i;

// A key as the password of HTTP Basic (RFC 7617), which browsers and feed readers send.
const BASIC = /^Basic +([A-Za-z0-9+/]{1,400}={0,2}) *$/i;

// What only this service's clients send: it is for us even if it is malformed.
const OWN_KEY = /^Bearer +olk_/i;
const TOKEN = /^Bearer +[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+ *$/i;

/**
 * The key or token of a request. A read may send a key as the password, or as the name, of HTTP Basic. For a write that is
 * not enough: a browser sends such a key by itself, so a page of another origin could write with it.
 */
export function credentialsOf(
  authorization: string | undefined,
  { isRead }: { isRead: boolean },
): Credentials {
  const sent = isRead ? (basicAsBearer(authorization) ?? authorization) : authorization;
  const [, key, token] = BEARER.exec(sent ?? '') ?? [];
  return { key, token };
}

/**
 * Whether a read that needs no key sends credentials of this service, so that it is authenticated. Others, such as the user
 * and password of a proxy, are not ours.
 * @param acceptsTokens whether the service accepts tokens of an identity provider
 */
export function sendsCredentials(
  authorization: string | undefined,
  { acceptsTokens }: { acceptsTokens: boolean },
): boolean {
  if (authorization === undefined) return false;
  const sent = basicAsBearer(authorization) ?? authorization;
  return OWN_KEY.test(sent) || (acceptsTokens && TOKEN.test(sent));
}

/** The password, or else the name, of HTTP Basic as if it were sent as a bearer's; null without Basic. */
function basicAsBearer(authorization: string | undefined): string | null {
  const [, encoded] = BASIC.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return null;
  const [name = '', ...password] = Buffer.from(encoded, 'base64').toString().split(':');
  return `Bearer ${password.join(':') || name}`;
}
