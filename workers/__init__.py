"""The Celery worker: claims tasks, runs models on GPU or CPU, writes findings; holds no key to identity."""
