"""The built-in actions, one module each. Any agent may offer them: ``agent.action("echo")(echo)``."""
