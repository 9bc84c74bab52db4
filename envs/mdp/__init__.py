"""What tasks are composed of: observations, rewards, goals, actions, and the law under a team's policy."""
