"""The domain of Stem Library: records, the job's life, the library, and adapters over the Azure SDKs."""
