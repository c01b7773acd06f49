// Connects with a token that the node must refuse.
'use strict';
const { client, main, next, node } = require('./harness.cjs');

main(async () => {
  const one = client({ token: node.token });
  const gone = next(one, 'disconnected');
  one.connect();
  const { code, reason } = await gone;
  return { code, reason };
});
