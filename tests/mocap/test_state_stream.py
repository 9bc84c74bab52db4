"""A receiver and a sender that have clocks of their own, and others who would like to be the sender."""

from __future__ import annotations

import random

import pytest

from corvids.deploy.mocap.state_packet import BodyPose, Kind, Packet, encode
from corvids.deploy.mocap.state_stream import Clock, StateReceiver, StateSender, StreamConfig
from corvids.errors import CorvidsError

KEY = bytes(range(32))
POSE = BodyPose(1, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0))
PERIOD_S = 0.005


class Network:
    """A sender behind delays of ``least_s`` and more; its clock shows ours times ``1 + drift`` less ``offset_s``."""

    def __init__(
        self,
        key: bytes | None = None,
        config: StreamConfig | None = None,
        *,
        offset_s: float = 1000.0,
        drift: float = 0.0,
        answers: bool = True,
    ) -> None:
        self.rng = random.Random(5)
        self.receiver = StateReceiver(config or StreamConfig(key=key), random.Random(6))
        self.sender = StateSender(key)
        self.offset_s, self.drift, self.answers = offset_s, drift, answers
        self.now_s = 100.0
        self.errors_s: list[float] = []
        self.recorded: list[bytes] = []

    def remote_ns(self, ours_s: float) -> int:
        return int(1e9 * (ours_s * (1.0 + self.drift) - self.offset_s + 1000.0))

    def delay_s(self) -> float:
        return 0.001 + self.rng.expovariate(1.0 / 3e-4)

    def run(self, seconds: float, camera_s: float = 0.004) -> int:
        """Let states flow; how many frames were handed out."""
        frames = 0
        for _ in range(round(seconds / PERIOD_S)):
            taken_s = self.now_s
            sent_s = taken_s + camera_s
            datagram = self.sender.state(self.remote_ns(taken_s), self.remote_ns(sent_s), (POSE,))
            self.recorded.append(datagram)
            arrived_s = sent_s + self.delay_s()
            frame = self.receiver.take_in(datagram, arrived_s)
            if frame:
                frames += 1
                self.errors_s.append(frame.stamp_s - taken_s)
            ping = self.receiver.ping(arrived_s)
            if ping and self.answers:
                there_s = arrived_s + self.delay_s()
                echo = self.sender.answer(ping, self.remote_ns(there_s))
                assert echo is not None
                self.receiver.take_in(echo, there_s + self.delay_s())
            self.now_s += PERIOD_S
        return frames


@pytest.mark.parametrize("drift", [0.0, 5e-5])
def test_stamps_are_found_by_echoes(drift: float):
    network = Network(drift=drift)
    assert network.run(20.0) == 4000
    assert max(map(abs, network.errors_s[2000:])) < 5e-4
    timing = network.receiver.timing
    assert timing.latency_s(50.0) == pytest.approx(0.004 + 0.001 + 3e-4 * 0.693, abs=3e-4)
    assert timing.rate_hz == pytest.approx(200.0, rel=0.01)
    assert 1e-4 < timing.jitter_s < 1e-3


def test_without_echoes_stamps_are_found_by_arrivals_up_to_the_least_time():
    config = StreamConfig(least_s=0.005)  # 4 ms of camera and 1 ms of network
    network = Network(config=config, drift=5e-5, answers=False)
    network.run(40.0)
    assert max(map(abs, network.errors_s[4000:])) < 2e-4


def test_a_shared_clock_is_taken_at_its_word():
    network = Network(config=StreamConfig(clock=Clock.SHARED, shared_ahead_s=1000.0), offset_s=0.0)
    network.run(0.1)
    assert max(map(abs, network.errors_s)) < 1e-6
    assert network.receiver.ping(network.now_s) is None


def test_a_sender_that_stamps_by_the_date_is_followed_by_echoes_all_the_same():
    network = Network()
    network.sender = StateSender(ahead_ns=lambda: 1_800_000_000_000_000_000)  # in 2027
    assert network.run(5.0) == 1000
    assert max(map(abs, network.errors_s[500:])) < 5e-4


def test_losses_repetitions_and_overtaking_are_counted():
    network = Network()
    network.run(0.5)
    receiver, first = network.receiver, network.sender.sent + 1
    ahead = [network.sender.state(network.remote_ns(network.now_s), 0) for _ in range(4)]
    assert first + 3 == network.sender.sent
    assert receiver.take_in(ahead[0], network.now_s + 0.006)
    network.now_s += PERIOD_S
    skipping = network.sender.state(network.remote_ns(network.now_s), 0)
    assert receiver.take_in(skipping, network.now_s + 0.006)
    assert receiver.counters.lost == 3
    for old in (ahead[1], skipping, network.recorded[3]):
        assert receiver.take_in(old, network.now_s + 0.006) is None
    assert receiver.counters.repeated == 3


def test_the_sequence_may_wrap():
    network = Network()
    network.sender.sent = 0xFFFFFFFD
    assert network.run(0.05) == 10
    assert network.receiver.counters.lost == 0


def test_another_sender_is_foreign_until_the_first_is_silent():
    network = Network()
    network.run(0.5)
    other = StateSender()
    datagram = other.state(network.remote_ns(network.now_s), 0, (POSE,))
    assert network.receiver.take_in(datagram, network.now_s) is None
    assert network.receiver.counters.foreign == 1
    network.now_s += 1.5
    network.sender = StateSender()
    assert network.run(0.5) == 100


def test_with_a_key_everything_unsigned_is_ignored_and_counted():
    network = Network(KEY)
    network.run(1.0)
    accepted = network.receiver.counters.accepted
    forger = StateSender(session=network.sender.session)
    forger.sent = network.sender.sent
    for _ in range(50):
        forged = forger.state(network.remote_ns(network.now_s), 0, (POSE,))
        assert network.receiver.take_in(forged, network.now_s + 0.006) is None
    assert network.receiver.counters.unsigned == 50
    assert network.receiver.counters.accepted == accepted
    assert network.run(0.1) == 20, "and the true one is still followed"


def test_with_a_key_a_recording_is_worth_nothing():
    network = Network(KEY)
    frames = network.run(1.0)
    assert 150 < frames < 200, "none before the first echo, all after it"
    assert network.receiver.counters.unconfirmed > 0
    late = StateReceiver(StreamConfig(key=KEY), random.Random(7))
    for index, datagram in enumerate(
        network.recorded
    ):  # as it was sent, one to one, with no sender behind it
        late.ping(500.0 + index * PERIOD_S)
        assert late.take_in(datagram, 500.0 + index * PERIOD_S) is None
    assert late.counters.unconfirmed == len(network.recorded)
    network.now_s += 2.0
    for index, datagram in enumerate(network.recorded):
        assert network.receiver.take_in(datagram, network.now_s + index * PERIOD_S) is None


def test_a_forged_sequence_number_locks_nobody_out():
    """Whoever can send to the port can disturb a stream without a key, but not for good."""
    network = Network()
    network.run(0.5)
    forger = StateSender(session=network.sender.session)
    forger.sent = network.sender.sent + 1_000_000
    assert network.receiver.take_in(forger.state(network.remote_ns(network.now_s), 0), network.now_s + 0.006)
    network.run(1.2)
    assert network.run(0.5) == 100


def test_an_echo_that_was_not_asked_for_is_no_echo():
    network = Network()
    network.run(0.5)
    samples = network.receiver.offset.samples
    for sequence in range(20):
        packet = Packet(Kind.PONG, network.sender.session, sequence, int(1e9 * network.now_s), 5)
        network.receiver.take_in(encode(packet), network.now_s)
    assert network.receiver.offset.samples == samples
    assert network.receiver.counters.malformed == 20


def test_a_sender_answers_pings_alone():
    sender, ping = StateSender(KEY), StateReceiver(StreamConfig(key=KEY)).ping(1.0)
    assert ping is not None
    echo = sender.answer(ping, 5)
    assert echo is not None
    assert len(echo) == len(ping), "or it could be used to flood somebody"
    for datagram in (b"", ping[:-1], echo, sender.state(1, 1, (POSE,))):
        assert sender.answer(datagram, 5) is None
    unsigned = StateReceiver().ping(1.0)
    assert unsigned is not None
    assert sender.answer(unsigned, 5) is None
    assert sender.ignored == 5


def test_a_clock_that_is_set_anew_is_followed_again():
    network = Network()
    network.run(2.0)
    network.offset_s -= 50.0
    network.run(1.0)
    network.errors_s.clear()
    assert network.run(1.0) == 200
    assert max(map(abs, network.errors_s)) < 1e-3


def test_keys_have_32_bytes():
    for maker in (lambda: StreamConfig(key=b"short"), lambda: StateSender(b"short")):
        with pytest.raises(CorvidsError, match="5 bytes, must be 32"):
            maker()
