// Hears others come and go.
'use strict';
const { connected, main, next, record, subscribed } = require('./harness.cjs');

main(async () => {
  const [watcher, itself] = await connected();
  const [watching] = await subscribed(watcher, 'door', { joinLeave: true });
  const seen = record(watching, ['join', 'leave']);
  const [guest, guestIs] = await connected();
  const [visit] = await subscribed(guest, 'door');
  const left = next(watching, 'leave');
  visit.unsubscribe();
  await left;
  // Whoever vanishes before its join was announced is never announced at all, so wait for it.
  const back = next(watching, 'join');
  visit.subscribe();
  await back;
  const vanished = next(watching, 'leave');
  guest.disconnect();
  await vanished;
  return {
    guest: guestIs.client, itself: itself.client,
    seen: seen.filter(([, { info }]) => info.client !== itself.client)
      .map(([event, { info }]) => [event, info.client]),
  };
});
