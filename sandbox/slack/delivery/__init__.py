"""How the app is told of what people do: over Socket Mode, or by signed HTTP requests."""
