// Tells that it is connected, then waits to be told to come back elsewhere.
'use strict';
const { connected, main, next } = require('./harness.cjs');

main(async () => {
  const [one] = await connected();
  const told = next(one, 'connecting');
  console.error('connected');
  const { code, reason } = await told;
  return { code, reason };
});
