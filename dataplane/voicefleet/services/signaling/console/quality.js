// What getStats says, as figures that people read; pure.

/** The E-model's estimate for Opus: 1 (unbearable) to 4.5; as the transceiver reckons it. */
export function mos(delay, loss) {
  const late = delay > 0.1773 ? 0.11 * (delay * 1000 - 177.3) : 0;
  const rating = Math.max(0, 93.2 - 0.024 * delay * 1000 - late - 95 * (loss / (loss + 0.2)));
  return 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6;
}

/** One reading; `before` is the last one, or undefined. */
export function reading(report, before) {
  const all = [...report.values()];
  const of = (kind) => all.find((one) => one.type === kind) ?? {};
  const transport = of("transport");
  const pair = all.find((one) => one.id === transport.selectedCandidatePairId) ?? {};
  const relay = all.find((one) => one.id === pair.remoteCandidateId) ?? {};
  const down = of("inbound-rtp");
  const up = of("remote-inbound-rtp");
  const totals = { received: down.packetsReceived ?? 0, lost: down.packetsLost ?? 0, buffer: down.jitterBufferDelay ?? 0, emitted: down.jitterBufferEmittedCount ?? 0 };
  const since = (name) => totals[name] - (before?.totals[name] ?? 0);
  const expected = since("received") + Math.max(0, since("lost"));
  const loss = expected > 0 ? Math.max(0, since("lost")) / expected : 0;
  const trip = up.roundTripTime ?? pair.currentRoundTripTime;
  const buffer = since("emitted") > 0 ? since("buffer") / since("emitted") : 0;
  return {
    totals,
    relay: relay.address ? { address: relay.address, port: relay.port, protocol: relay.protocol } : undefined,
    roundTrip: trip,
    lossDown: loss,
    lossUp: up.fractionLost,
    jitterDown: down.jitter,
    jitterUp: up.jitter,
    mos: trip === undefined ? undefined : mos(trip / 2 + buffer, loss),
  };
}
