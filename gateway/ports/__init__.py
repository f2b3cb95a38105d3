"""What the steps of the flow need from the world outside, as Protocols.

Database and BlobStore have an embedded and a distributed adapter each, and one contract suite that runs on both.
Adapters are named in gateway/wiring/, the inference engine of a worker in workers/run.py, and nowhere else.
"""

from gateway.ports.access import Access, AuditTrail
from gateway.ports.analysis import Governance, Models, Tasks
from gateway.ports.bulk import BulkJobs, BulkSource
from gateway.ports.database import Database, GroupCommit, UnitOfWork
from gateway.ports.identities import Erasures, Identities, KeyRows, PatientRow, Quotas, Resting, WrappedKeys
from gateway.ports.objects import BlobStore, ObjectSeal, PixelSearch, SearchedPixels
from gateway.ports.outlets import ContentSigner, Hook, Outlet, ReportDocument
from gateway.ports.reports import Agreements, Deliveries, Recalls, Reports, Reviews
from gateway.ports.resources import Messages, Reindexings, ResourceIndex, Resources, Subscriptions
from gateway.ports.studies import Clearances, PixelTasks, Records, Studies
from gateway.ports.vault import IdentityVault, OpenResource, SealIdentity
from gateway.ports.watcher import Watcher
from gateway.ports.workers import Doorbell, Inference

__all__ = [
    "Access",
    "Agreements",
    "AuditTrail",
    "BlobStore",
    "BulkJobs",
    "BulkSource",
    "Clearances",
    "ContentSigner",
    "Database",
    "Deliveries",
    "Doorbell",
    "Erasures",
    "Governance",
    "GroupCommit",
    "Hook",
    "Identities",
    "IdentityVault",
    "Inference",
    "KeyRows",
    "Messages",
    "Models",
    "ObjectSeal",
    "OpenResource",
    "Outlet",
    "PatientRow",
    "PixelSearch",
    "PixelTasks",
    "Quotas",
    "Recalls",
    "Records",
    "Reindexings",
    "ReportDocument",
    "Reports",
    "ResourceIndex",
    "Resources",
    "Resting",
    "Reviews",
    "SealIdentity",
    "SearchedPixels",
    "Studies",
    "Subscriptions",
    "Tasks",
    "UnitOfWork",
    "Watcher",
    "WrappedKeys",
]
