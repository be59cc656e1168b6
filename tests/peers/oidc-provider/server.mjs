// node oidc-provider (https://github.com/panva/node-oidc-provider), a certified OpenID provider, with dynamic client
// registration and its management switched on. Prints its issuer when it is ready. It ends with its standard input.
// Arguments: the initial access token, then the scopes. `/clients` tells how many clients there are.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [initialAccessToken, ...scopes] = process.argv.slice(2);
const api = 'urn:portico:api';
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'peer' };

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    scopes,
    jwks: { keys: [key] },
    cookies: { keys: ['of a test'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true, initialAccessToken },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => api,
        getResourceServerInfo: () => ({
          scope: scopes.join(' '), audience: api, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  let clients = 0;
  provider.on('registration_create.success', () => { clients += 1; });
  provider.on('registration_delete.success', () => { clients -= 1; });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    if (request.url === '/clients') response.end(String(clients));
    else answer(request, response);
  });
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
