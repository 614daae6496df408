"""Stepship beside what its users have today: one emulator, the same rollouts, the emulator's own record."""
