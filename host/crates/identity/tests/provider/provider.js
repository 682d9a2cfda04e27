// A real OpenID provider on loopback for the tests. One line of JSON out once it listens: {"issuer": …}. One line of
// JSON in is one command, one line out its end:
//
//   {"do":"rotate"}            signs with a new key; the old one is published still
//   {"do":"retire"}            publishes the newest key only
//   {"do":"stop"}              refuses connections, the running ones too
//   {"do":"start"}             is back on the same port
//   {"do":"event","claims":…}  answers a security event with these claims, signed with the newest key
//   {"do":"fetches"}           answers how often keys and metadata were asked for, and when
//
// Arguments: port (0: any), redirect URI of the client `gate`, seconds by which its clock differs.
import { createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import http from 'node:http';
import readline from 'node:readline';

const [port, redirect, shift] = process.argv.slice(2);
const RealDate = Date;
const ahead = Number(shift) * 1000;
if (ahead) {
  globalThis.Date = class extends RealDate {
    constructor(...given) {
      super(...(given.length ? given : [RealDate.now() + ahead]));
    }

    static now() {
      return RealDate.now() + ahead;
    }
  };
}
// What the library logs must not stand between the answers.
console.info = console.warn = console.log = console.error;
const { default: Provider } = await import('oidc-provider');

function key() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };
}

const groups = { ann: ['staff'], bob: ['contractors'], ci: ['builders'], 'ci-bound': ['builders'] };
let keys = [key()];
let answer;
let issuer;
const fetches = [];

function configuration() {
  return {
    jwks: { keys },
    clients: [
      {
        client_id: 'gate',
        client_secret: 'the-gates-own-5e1f0c7a',
        redirect_uris: [redirect],
        grant_types: ['authorization_code'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
      {
        client_id: 'ci',
        client_secret: 'ci-secret',
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: [],
        id_token_signed_response_alg: 'ES256',
      },
      {
        client_id: 'ci-bound',
        client_secret: 'ci-secret',
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: [],
        id_token_signed_response_alg: 'ES256',
        tls_client_certificate_bound_access_tokens: true,
      },
    ],
    claims: { openid: ['sub', 'groups', 'email'] },
    conformIdTokenClaims: false,
    async findAccount(_, id) {
      return { accountId: id, claims: async () => ({ sub: id, groups: groups[id] ?? [], email: `${id}@example` }) };
    },
    extraTokenClaims: (_, token) => ({ groups: groups[token.accountId ?? token.clientId] ?? [] }),
    pkce: { required: () => true },
    cookies: { keys: ['a secret of the tests'] },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      // RFC 8705: of the certificate only the hash counts, and a proxy in front of the provider would tell it.
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (context) => context.get('x-client-certificate') || undefined,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:gate',
        getResourceServerInfo: () => ({
          scope: 'use',
          audience: 'urn:gate',
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  };
}

function renew() {
  answer = new Provider(issuer, configuration()).callback();
}

const server = http.createServer((request, response) => {
  if (/^\/(jwks|\.well-known)/.test(request.url)) fetches.push({ path: request.url, at: RealDate.now() });
  answer(request, response);
});

function listen(at) {
  return new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(at, '127.0.0.1', done);
  });
}

await listen(Number(port));
const own = server.address().port;
issuer = `http://127.0.0.1:${own}`;
renew();

function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const commands = {
  rotate() {
    keys = [key(), ...keys];
    renew();
    return { kid: keys[0].kid };
  },
  retire() {
    keys = keys.slice(0, 1);
    renew();
    return { kid: keys[0].kid };
  },
  async stop() {
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
    return {};
  },
  async start() {
    // Meanwhile the system may have given the port to somebody's connection, which passes.
    for (let tries = 0; ; tries++) {
      try {
        await listen(own);
        return {};
      } catch (failed) {
        if (failed.code !== 'EADDRINUSE' || tries === 100) throw failed;
        await new Promise((done) => setTimeout(done, 100));
      }
    }
  },
  event({ claims }) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const header = { alg: 'ES256', kid: keys[0].kid, typ: 'secevent+jwt' };
    const signed = `${part(header)}.${part({ iss: issuer, ...claims })}`;
    const key = createPrivateKey({ key: keys[0], format: 'jwk' });
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
    return { event: `${signed}.${signature.toString('base64url')}` };
  },
  fetches: () => ({ fetches }),
};

say({ issuer });
for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  say(await commands[command.do](command));
}
// The test is gone.
process.exit(0);
