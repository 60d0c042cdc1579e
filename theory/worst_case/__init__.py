"""Exact worst cases of methods over all smooth losses, in brackets that exact arithmetic certifies.

Sources: Drori and Teboulle 2014; Taylor, Hendrickx and Glineur 2017; for several agents Colla and Hendrickx
2022-2024.
"""
