from tests.backbones.conftest import hub

__all__ = ["hub"]
