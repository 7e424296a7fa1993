"""Random programs of servers and supervisors, run here and by OTP."""
