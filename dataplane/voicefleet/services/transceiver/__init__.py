"""The transceiver process: owns calls (ICE, DTLS, SRTP, data channel) and speaks to the agent."""
