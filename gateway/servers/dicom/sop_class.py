"""Which abstract syntaxes are storage: every one that is not known to be something else.

New and private storage classes must not be refused for being unknown (PS3.4 Annex B), so the table lists the
services of PS3.6 Table A-1 that are not storage; a test compares it with an independent dictionary.
"""

from __future__ import annotations

VERIFICATION = "1.2.840.10008.1.1"

_SERVICE_TREES = (
    "1.2.840.10008.1.",  # verification, transfer syntaxes, media directory, commitment, event logging
    "1.2.840.10008.2.",  # coding schemes
    "1.2.840.10008.3.",  # application context, detached management, MPPS
    "1.2.840.10008.4.",  # service classes
    "1.2.840.10008.5.1.1.",  # print and display management
    "1.2.840.10008.5.1.4.1.1.201.",  # inventory services; the storage class is named below
    "1.2.840.10008.5.1.4.1.2.",  # query/retrieve
    "1.2.840.10008.5.1.4.20.",  # defined procedure protocol query/retrieve
    "1.2.840.10008.5.1.4.31.",  # modality worklist
    "1.2.840.10008.5.1.4.32.",  # general purpose worklist
    "1.2.840.10008.5.1.4.33.",  # instance availability notification
    "1.2.840.10008.5.1.4.34.",  # unified procedure step, radiotherapy machine verification
    "1.2.840.10008.5.1.4.37.",  # relevant patient information query
    "1.2.840.10008.5.1.4.38.",  # hanging protocol query/retrieve
    "1.2.840.10008.5.1.4.39.",  # colour palette query/retrieve
    "1.2.840.10008.5.1.4.41.",  # product characteristics query
    "1.2.840.10008.5.1.4.42.",  # substance approval query
    "1.2.840.10008.5.1.4.43.",  # generic implant template query/retrieve
    "1.2.840.10008.5.1.4.44.",  # implant assembly template query/retrieve
    "1.2.840.10008.5.1.4.45.",  # implant template group query/retrieve
    "1.2.840.10008.6.",  # transfer syntaxes and context groups as UIDs
    "1.2.840.10008.7.",  # application hosting
    "1.2.840.10008.8.",  # mapping resources
    "1.2.840.10008.9.",  # application hosting
    "1.2.840.10008.10.",  # real-time communication
    "1.2.840.10008.15.",  # LDAP and configuration
)

_SERVICES_AMONG_STORAGE = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.200.4",  # protocol approval FIND, MOVE, GET
        "1.2.840.10008.5.1.4.1.1.200.5",
        "1.2.840.10008.5.1.4.1.1.200.6",
    }
)

_STORAGE_AMONG_SERVICES = frozenset(
    {
        "1.2.840.10008.5.1.1.27",  # stored print
        "1.2.840.10008.5.1.1.29",  # hardcopy greyscale image
        "1.2.840.10008.5.1.1.30",  # hardcopy colour image
        "1.2.840.10008.5.1.4.1.1.201.1",  # inventory
        "1.2.840.10008.5.1.4.34.1",  # RT beams delivery instruction, trial
        "1.2.840.10008.5.1.4.34.7",  # RT beams delivery instruction
        "1.2.840.10008.5.1.4.34.10",  # RT brachy application setup delivery instruction
        "1.2.840.10008.5.1.4.38.1",  # hanging protocol
        "1.2.840.10008.5.1.4.39.1",  # colour palette
        "1.2.840.10008.5.1.4.43.1",  # generic implant template
        "1.2.840.10008.5.1.4.44.1",  # implant assembly template
        "1.2.840.10008.5.1.4.45.1",  # implant template group
    }
)


def is_storage(abstract_syntax_uid: str) -> bool:
    """Whether objects of this class are stored: known storage, private and unknown classes are."""
    if abstract_syntax_uid in _STORAGE_AMONG_SERVICES:
        return True
    if abstract_syntax_uid in _SERVICES_AMONG_STORAGE:
        return False
    return not f"{abstract_syntax_uid}.".startswith(_SERVICE_TREES)
