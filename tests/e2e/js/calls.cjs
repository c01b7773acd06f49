// RPC answered by the application, its refusals, and an asynchronous message.
'use strict';
const { connected, main, node } = require('./harness.cjs');

const refusal = (promise) => promise.then(
  () => 'no error', ({ code, message }) => ({ code, message }),
);

main(async () => {
  const [one] = await connected({ token: node.token });
  await one.send({ note: 'for the log' });
  return {
    sum: (await one.rpc('add', { a: 2, b: 40 })).data,
    notes: (await one.rpc('notes', {})).data,
    refused: await refusal(one.rpc('refuse', {})),
    broken: await refusal(one.rpc('break', {})),
    hanging: await refusal(one.rpc('hang', {})),
    unknown: await refusal(one.rpc('nobody answers this', {})),
    invalid: await refusal(one.publish('typed', { n: 'not a number' })),
    still: (await one.rpc('add', { a: 1, b: 1 })).data,
  };
});
