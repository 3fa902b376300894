"""Capabilities to test with."""

from __future__ import annotations

from hypothesis import strategies as st

from sen_host.messages import Capabilities, NetPattern, NetProtocol, PathPattern, StdioCapability

SHA = "a" * 64
OTHER_SHA = "b" * 64

READ = Capabilities(fs_read=(PathPattern("./data", True),))
WRITE = Capabilities(fs_write=(PathPattern("./data", True),))
NET = Capabilities(net=(NetPattern("api.example.com", 443),))

_paths = st.lists(
    st.builds(PathPattern, st.sampled_from([".", "a", "a/b", "a/../b", "/a", "~"]), st.booleans()),
    max_size=3,
).map(tuple)

capabilities = st.builds(
    Capabilities,
    fs_read=_paths,
    fs_write=_paths,
    env_read=st.lists(
        st.sampled_from(["A", "AB", "A*", "AB*", "*", "", "a", "A*B"]), max_size=3
    ).map(tuple),
    net=st.lists(
        st.builds(
            NetPattern,
            st.sampled_from(["a.b", "*.b", "*", "x.a.b", "bad..host"]),
            st.sampled_from([None, 80]),
            st.sampled_from([NetProtocol.HTTPS, NetProtocol.TCP]),
        ),
        max_size=3,
    ).map(tuple),
    stdio=st.builds(StdioCapability, st.booleans(), st.booleans(), st.booleans()),
)
