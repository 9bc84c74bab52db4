"""What a finished policy is flown in, and the conditions and rules that it is judged by."""
