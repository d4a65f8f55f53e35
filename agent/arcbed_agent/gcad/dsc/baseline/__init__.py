"""The Linux security baseline, rule by rule, in the form that OsConfigResource asks for it.

Source: Azure/azure-osconfig, src/common/asb and src/common/commonutils (what each payload key checks).
"""
