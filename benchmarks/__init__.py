"""What the service costs, measured against honest references and a real shop."""
