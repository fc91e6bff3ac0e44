"""Reporting: the numbers of a run, the reasons of its rejections, a preview for approvers, and one member's history."""
