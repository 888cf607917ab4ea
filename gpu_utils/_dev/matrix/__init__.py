"""The instruments' tests on every Triton they support: `make matrix` and `make canary`."""
