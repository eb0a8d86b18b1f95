"""Gates to start from, one YAML file each: `--profile NAME`, or `gate: {profile: NAME}`."""
