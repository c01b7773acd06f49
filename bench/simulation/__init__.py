"""The balancing simulator: the strategies of `balancers` under scenarios, in virtual time."""
