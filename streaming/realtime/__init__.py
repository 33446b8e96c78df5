"""The OpenAI Realtime protocol (GA names) as values: client events, session configuration, conversation, responses."""
