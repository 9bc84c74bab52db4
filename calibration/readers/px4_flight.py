"""From PX4's topics, units (FRD, NED) and output conventions to a :class:`FlightRecord` (FLU, ENU)."""

from __future__ import annotations

import math

import numpy as np

from corvids.calibration.readers.cleaning import MAX_JUMP_US, clean
from corvids.calibration.readers.inertial import check_sensors
from corvids.calibration.readers.record import Channel, Finding, FlightRecord
from corvids.calibration.readers.ulog import RawLog
from corvids.errors import CorvidsError

FLU_FROM_FRD = np.array([1.0, -1.0, -1.0])
"""Factors that turn forward-right-down components into forward-left-up."""
DISARMED_PWM_US = 950.0
"""Pulse width below which an output is off [µs]."""
ROTORS = 4
"""A vehicle file has four rotors."""


def px4_flight(raw: RawLog) -> FlightRecord:
    """The flight in ``raw``; raises :class:`CorvidsError` where rates or specific force are missing or stuck."""
    return _Reading(raw).flight()


class _Reading:
    def __init__(self, raw: RawLog) -> None:
        self.raw = raw
        self.findings: list[Finding] = []
        self.start_us = self._start()

    def flight(self) -> FlightRecord:
        raw = self.raw
        gyro = self._channel("gyro_b", "sensor_combined", "rad/s", self._fields("gyro_rad", 3))
        accel = self._channel("accel_b", "sensor_combined", "m/s2", self._fields("accelerometer_m_s2", 3))
        if gyro is None or accel is None:
            raise CorvidsError(
                f"{raw.name}: has no sensor_combined with rates and specific force; log that topic"
            )
        check_sensors(raw.name, gyro, accel)  # before frames change, so that it speaks of what was logged
        gyro, accel = (_mapped(one, one.values * FLU_FROM_FRD) for one in (gyro, accel))
        quat_ned_frd = self._channel("quat_wb", "vehicle_attitude", "1", self._fields("q", 4))
        vel_ned = self._channel("vel_w", "vehicle_local_position", "m/s", [["vx"], ["vy"], ["vz"]])
        ground = [["landed", "ground_contact", "maybe_landed"]]
        if raw.dropout_s > 0.0:
            self.findings.append(
                Finding("log", f"the logger lost {raw.dropout_s:.3f} s; each signal shows its gaps")
            )
        if raw.cut_off:
            self.findings.append(
                Finding("log", "the file ends in the middle of a message; it is read up to there")
            )
        if raw.damaged:
            self.findings.append(Finding("log", "parts of the file are damaged; what could be read is used"))
        return FlightRecord(
            name=raw.name,
            sha256=raw.sha256,
            gyro_b=gyro,
            accel_b=accel,
            command=self._command(),
            quat_wb=None if quat_ned_frd is None else _mapped(quat_ned_frd, _enu_flu(quat_ned_frd.values)),
            vel_w=None
            if vel_ned is None
            else _mapped(vel_ned, vel_ned.values[:, [1, 0, 2]] * [1.0, 1.0, -1.0]),
            on_ground=self._channel("on_ground", "vehicle_land_detected", "1", ground),
            voltage=self._channel("voltage", "battery_status", "V", [["voltage_v"]]),
            resets_s=self._resets(),
            parameters=raw.parameters,
            findings=tuple(self.findings),
            simulated=raw.simulated,
        )

    def _start(self) -> int:
        """The earliest plausible time stamp of the sensors [µs]."""
        topic = self.raw.topics.get("sensor_combined")
        if topic is None:
            raise CorvidsError(f"{self.raw.name}: has no topic sensor_combined; log it (SDLOG_PROFILE)")
        first = np.sort(np.nan_to_num(topic["timestamp"][:5].astype(np.float64), posinf=0.0, neginf=0.0))
        # One of them, unlike a median, which may lie between two that are far apart.
        middle = first[len(first) // 2]
        return int(min(first[np.abs(first - middle) <= MAX_JUMP_US].min(), 2.0**61))

    @staticmethod
    def _fields(name: str, count: int) -> list[list[str]]:
        return [[f"{name}[{index}]"] for index in range(count)]

    def _channel(self, signal: str, topic: str, unit: str, fields: list[list[str]]) -> Channel | None:
        """A channel whose k-th column is the largest of the ``fields[k]`` that the topic has."""
        data = self.raw.topics.get(topic)
        if data is None:
            return None
        columns = []
        for names in fields:
            there = [data[name].astype(np.float64) for name in names if name in data]
            if not there:
                self.findings.append(
                    Finding(signal, f"{topic} has no field {names[0]}; the signal is left out")
                )
                return None
            columns.append(np.max(there, axis=0))
        channel, found = clean(signal, topic, unit, data["timestamp"], np.stack(columns, -1), self.start_us)
        self.findings += found
        return channel

    def _resets(self) -> np.ndarray:
        """When the estimator's reset counters of attitude or velocity changed [s]."""
        times = []
        for topic, counters in (
            ("vehicle_attitude", ("quat_reset_counter",)),
            ("vehicle_local_position", ("vxy_reset_counter", "vz_reset_counter")),
        ):
            data = self.raw.topics.get(topic, {})
            for counter in counters:
                if counter in data:
                    signal = (topic, "1", data["timestamp"], data[counter].astype(np.float64)[:, None])
                    channel, _ = clean(counter, *signal, self.start_us)
                    if channel is not None:
                        times.append(channel.time_s[1:][np.diff(channel.values[:, 0]) != 0.0])
        found = np.unique(np.concatenate(times)) if times else np.zeros(0)
        if len(found):
            text = (
                f"{len(found)} jumps of attitude or velocity, at {', '.join(f'{t:.1f}' for t in found[:5])} s"
            )
            self.findings.append(
                Finding("estimate", f"{text}{' …' if len(found) > 5 else ''}; no piece spans one")
            )
        return found

    def _command(self) -> Channel | None:
        """Motor commands 0..1: PX4 1.13 and later log them, earlier firmware logs pulse widths."""
        if "actuator_motors" in self.raw.topics:
            return self._motors(self.raw.topics["actuator_motors"])
        if "actuator_outputs" in self.raw.topics:
            return self._outputs(self.raw.topics["actuator_outputs"])
        return None

    def _motors(self, data) -> Channel | None:
        columns = [data[f"control[{i}]"].astype(np.float64) for i in range(12) if f"control[{i}]" in data]
        self._refuse_other_rotors(sum(bool(np.isfinite(c).mean() > 0.5) for c in columns), "actuator_motors")
        if len(columns) < ROTORS:
            return None
        values = np.nan_to_num(
            np.stack(columns[:ROTORS], -1), nan=0.0
        )  # PX4 writes NaN for a motor that is off
        return self._cleaned_command("actuator_motors", data["timestamp"], np.clip(values, 0.0, 1.0))

    def _outputs(self, data) -> Channel | None:
        columns = [data[f"output[{i}]"].astype(np.float64) for i in range(16) if f"output[{i}]" in data]
        with np.errstate(invalid="ignore"):
            turning = [
                bool(np.any((c > DISARMED_PWM_US) & (c < 2500.0)) and np.std(c) > 1.0) for c in columns
            ]
        if any(turning):
            self._refuse_other_rotors(sum(turning), "actuator_outputs")
        if len(columns) < ROTORS:
            return None
        low, high = self._pwm_range()
        values = np.stack(columns[:ROTORS], -1)
        armed = values > DISARMED_PWM_US
        command = np.where(armed, np.clip((values - low) / (high - low), 0.0, 1.0), 0.0)
        return self._cleaned_command("actuator_outputs", data["timestamp"], command)

    def _cleaned_command(self, topic: str, time_us: np.ndarray, values: np.ndarray) -> Channel | None:
        channel, found = clean("command", topic, "1", time_us, values, self.start_us)
        self.findings += found
        return channel

    def _refuse_other_rotors(self, count: int, topic: str) -> None:
        if count not in (0, ROTORS):
            raise CorvidsError(f"{self.raw.name}: {topic} drives {count} motors; a vehicle file has {ROTORS}")

    def _pwm_range(self) -> tuple[float, float]:
        """Pulse widths [µs] at motor commands 0 and 1."""
        parameters = self.raw.parameters
        low = next(
            (parameters[n] for n in ("PWM_MAIN_MIN1", "PWM_MAIN_MIN", "PWM_MIN") if n in parameters), 1000.0
        )
        high = next(
            (parameters[n] for n in ("PWM_MAIN_MAX1", "PWM_MAIN_MAX", "PWM_MAX") if n in parameters), 2000.0
        )
        if not 500.0 <= low < high <= 3000.0:
            raise CorvidsError(
                f"{self.raw.name}: pulse widths from {low:g} to {high:g} µs (PWM_MAIN_MIN, PWM_MAIN_MAX) cannot be;"
                " they must rise within 500 to 3000"
            )
        return low, high


def _mapped(channel: Channel, values: np.ndarray) -> Channel:
    return Channel(channel.topic, channel.unit, channel.time_s, values)


def _enu_flu(quat: np.ndarray) -> np.ndarray:
    """Attitudes (n, 4) that rotate FRD into NED as ones that rotate FLU into ENU.

    ``q_e · q · q_b`` multiplied out: q_e = (0, 1, 1, 0)/√2 from NED to ENU, q_b = (0, 1, 0, 0) from FLU to FRD.
    """
    w, x, y, z = (quat / np.maximum(np.linalg.norm(quat, axis=-1, keepdims=True), 1e-9)).T
    return math.sqrt(0.5) * np.stack((w + z, x + y, x - y, w - z), axis=-1)
