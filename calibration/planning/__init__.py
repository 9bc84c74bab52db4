"""Which manoeuvres a flight for calibration should have, and how much it will tell."""
