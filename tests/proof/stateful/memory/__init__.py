"""DynamoDB, SQS and S3 in memory, behind boto3's own calls: what moto does, a hundred times faster.

Measured: moto takes 2.7 ms for a put, 14 ms for a claim, 18 ms for a sweep's queries; 300 examples of 60 steps would take
about five minutes. Strict where AWS is strict, and only as large as the adapters need: anything else they might call is an
error. `test_memory.py` runs the store's contract suite over it, and random calls side by side with moto.
"""
