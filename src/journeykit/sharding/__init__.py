"""Logs larger than memory or machine: cut by user into shards, tallied shard by shard, whole again in the answer."""
