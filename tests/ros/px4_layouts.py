"""The PX4 messages that the ROS 2 node meets, as far as tests need them: names and types of their fields, in order.

PX4 v1.17's: its firmware gives the same hashes for those that :mod:`corvids_ros.format_check` asks for. From one table
both sides of a test take their types: rclpy through message definitions written from it, the flight controller as
types of Cyclone DDS.
"""

from __future__ import annotations

Layout = tuple[tuple[str, str], ...]
"""(type, name) of each field; types as ROS 2 calls them."""


def layout(*fields: str) -> Layout:
    """Fields from lines such as ``float32[3] position velocity``: one type, its names."""
    return tuple((line.split()[0], name) for line in fields for name in line.split()[1:])


LAYOUTS: dict[str, Layout] = {
    "OffboardControlMode": layout(
        "uint64 timestamp",
        "bool position velocity acceleration attitude body_rate thrust_and_torque direct_actuator",
    ),
    "VehicleRatesSetpoint": layout(
        "uint64 timestamp", "float32 roll pitch yaw", "float32[3] thrust_body", "bool reset_integral"
    ),
    "VehicleAttitudeSetpoint": layout(
        "uint64 timestamp",
        "float32 yaw_sp_move_rate",
        "float32[4] q_d",
        "float32[3] thrust_body",
    ),
    "VehicleCommand": layout(
        "uint64 timestamp",
        "float32 param1 param2 param3 param4",
        "float64 param5 param6",
        "float32 param7",
        "uint32 command",
        "uint8 target_system target_component source_system",
        "uint16 source_component",
        "uint8 confirmation",
        "bool from_external",
    ),
    "VehicleOdometry": layout(
        "uint64 timestamp timestamp_sample",
        "uint8 pose_frame",
        "float32[3] position",
        "float32[4] q",
        "uint8 velocity_frame",
        "float32[3] velocity angular_velocity position_variance orientation_variance velocity_variance",
        "uint8 reset_counter",
        "int8 quality",
    ),
    "SensorCombined": layout(
        "uint64 timestamp",
        "float32[3] gyro_rad",
        "uint32 gyro_integral_dt",
        "int32 accelerometer_timestamp_relative",
        "float32[3] accelerometer_m_s2",
        "uint32 accelerometer_integral_dt",
        "uint8 accelerometer_clipping gyro_clipping accel_calibration_count gyro_calibration_count",
    ),
    "TimesyncStatus": layout(
        "uint64 timestamp",
        "uint8 source_protocol",
        "uint64 remote_timestamp",
        "int64 observed_offset estimated_offset",
        "uint32 round_trip_time",
    ),
    "VehicleStatus": layout(
        "uint64 timestamp armed_time takeoff_time",
        "uint8 arming_state latest_arming_reason latest_disarming_reason",
        "uint64 nav_state_timestamp",
        "uint8 nav_state_user_intention nav_state executor_in_charge",
        "uint32 valid_nav_states_mask can_set_nav_states_mask",
        "uint16 failure_detector_status",
        "uint8 hil_state vehicle_type",
        "bool failsafe failsafe_and_user_took_over",
        "uint8 failsafe_defer_state",
        "bool gcs_connection_lost",
        "uint8 gcs_connection_lost_counter",
        "bool high_latency_data_link_lost is_vtol is_vtol_tailsitter in_transition_mode in_transition_to_fw",
        "uint8 system_type system_id component_id",
        "bool safety_button_available safety_off power_input_valid usb_connected open_drone_id_system_present",
        "bool open_drone_id_system_healthy parachute_system_present parachute_system_healthy",
        "bool rc_calibration_in_progress calibration_enabled pre_flight_checks_pass",
    ),
    "VehicleLandDetected": layout(
        "uint64 timestamp",
        "bool freefall ground_contact maybe_landed landed in_ground_effect in_descend has_low_throttle",
        "bool vertical_movement horizontal_movement rotational_movement close_to_ground_or_skipped_check at_rest",
    ),
    "BatteryStatus": layout(
        "uint64 timestamp",
        "bool connected",
        "float32 voltage_v current_a current_average_a discharged_mah remaining scale time_remaining_s temperature",
        "uint8 cell_count source priority",
        "uint16 capacity cycle_count average_time_to_empty manufacture_date state_of_health max_error",
        "uint8 id",
        "uint16 interface_error",
        "float32[14] voltage_cell_v",
        "float32 max_cell_voltage_delta",
        "bool is_powering_off is_required",
        "uint8 warning",
        "uint16 faults",
        "float32 full_charge_capacity_wh remaining_capacity_wh",
        "uint16 over_discharge_count",
        "float32 nominal_voltage internal_resistance_estimate ocv_estimate ocv_estimate_filtered",
        "float32 volt_based_soc_estimate voltage_prediction prediction_error estimation_covariance_norm",
    ),
    "VehicleGlobalPosition": layout(
        "uint64 timestamp timestamp_sample",
        "float64 lat lon",
        "float32 alt alt_ellipsoid",
        "bool lat_lon_valid alt_valid",
        "float32 delta_alt delta_terrain",
        "uint8 lat_lon_reset_counter alt_reset_counter terrain_reset_counter",
        "float32 eph epv terrain_alt",
        "bool terrain_alt_valid dead_reckoning",
    ),
    "MessageFormatRequest": layout("uint64 timestamp", "uint16 protocol_version", "char[50] topic_name"),
    "MessageFormatResponse": layout(
        "uint64 timestamp",
        "uint16 protocol_version",
        "char[50] topic_name",
        "bool success",
        "uint32 message_hash",
    ),
}
"""By message name."""
