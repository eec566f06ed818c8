"""Order, schedules, retries and events around the pipeline that ``dvc.yaml`` describes."""
