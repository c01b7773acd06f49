"""The client protocol: commands, replies, codes and the JSON codec; pure."""
