"""DynamoDB, SQS and S3 in memory, with boto3's calls: as moto, but a hundred times faster.

Measured: moto takes 2.7 ms for a put, 14 ms for a claim, 18 ms for a sweep's queries; 300 examples of 60 steps would take
about five minutes. They are strict where AWS is strict, and have only the calls that the adapters need: any other call is an
error. `test_memory.py` runs the store's contract suite over them, and compares random calls with moto.
"""
