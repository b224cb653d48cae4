"""The OpenAI Realtime protocol as its clients see it: sessions, what clients may say, what they are told."""
